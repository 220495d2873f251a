local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

-- Returns the status of a flight. A silent leader is first suspected and notified; it is
-- lost only if it has not answered within the grace period, because Redis itself may have
-- stalled. A vacant flight is one that Redis has lost and a follower knows.
local function standing(key, state, lease, suspected, owner, grace, channels, notification)
  if state ~= 'vacant' and (state ~= 'running' or lease > now) then
    return state
  end
  if not suspected then
    redis.call('HSET', key, 'suspected', now)
    redis.call('PUBLISH', channels .. owner, notification)
    return 'suspected'
  end
  return suspected + grace > now and 'suspected' or 'lost'
end

