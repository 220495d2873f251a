local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

-- How a flight stands. A silent leader is suspected first, and rung; it is lost
-- only when it has not answered to that within the grace: Redis itself may have
-- been away. A vacant flight is one that Redis has forgotten and followers know.
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

