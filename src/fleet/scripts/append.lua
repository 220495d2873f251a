-- Leaders append events to their flights, or only renew their leases: one flight or
-- several, each independently. A worker that no longer leads changes nothing.
--
-- KEYS, for each: flight, events, followers
-- ARGV, for each: flight, epoch, run, channels, notification, lease, keep, after,
--       last, part, voids earlier events (1), events or ''
local GIVEN, CARRIED = 12, 65536

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

local function append(flight, events_of, followers_of, given)
  local epoch, run = tonumber(ARGV[given + 2]), ARGV[given + 3]
  local channels, notification = ARGV[given + 4], ARGV[given + 5]
  local lease, keep, after = tonumber(ARGV[given + 6]), tonumber(ARGV[given + 7]), tonumber(ARGV[given + 8])
  local last, part, voids, events =
    tonumber(ARGV[given + 9]), tonumber(ARGV[given + 10]), ARGV[given + 11] == '1', ARGV[given + 12]

  local kept = redis.call('HMGET', flight, 'flight', 'epoch', 'run', 'state', 'last', 'part')
  local ranked = rank(kept, ARGV[given + 1], epoch, run)
  if ranked ~= 'leads' then
    return {ranked}
  end
  if kept[4] ~= 'running' then
    return {'deposed'}
  end
  redis.call('HSET', flight, 'lease', now + lease, 'suspected', '')
  redis.call('PEXPIRE', flight, keep)
  local reached = add(flight, events_of, keep, kept, after, last, part, voids, events)
  if reached then
    return {'behind', string.format('%d', reached)}
  end

  -- Followers check at least twice per lease; after two leases they count as gone.
  redis.call('ZREMRANGEBYSCORE', followers_of, '-inf', now - 2 * lease)
  local followers = redis.call('ZRANGE', followers_of, 0, -1)
  if events ~= '' then
    -- Small events travel with the notification, so that no follower has to read them.
    local payload = #events <= CARRIED and notification .. events or notification
    for _, follower in ipairs(followers) do
      redis.call('PUBLISH', channels .. follower, payload)
    end
  end
  return {'kept', #followers}
end

local answers = {}
for index = 0, #KEYS / 3 - 1 do
  local key = 3 * index
  answers[index + 1] = append(KEYS[key + 1], KEYS[key + 2], KEYS[key + 3], GIVEN * index)
end
-- A single step has the same answer format as any other script.
if #answers == 1 then
  return answers[1]
end
return answers
