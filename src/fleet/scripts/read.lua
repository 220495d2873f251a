-- A worker reads the events after a position, and the flight's status. A follower also
-- renews its registration; the leader is notified of a new one.
--
-- KEYS: flight, events, followers
-- ARGV: flight, worker, follows (1), position to read after, most batches, approximate
--       most bytes, grace, channels, notification
local kept = redis.call('HMGET', KEYS[1], 'flight', 'epoch', 'run', 'state', 'lease', 'suspected',
  'owner', 'last', 'outcome', 'about')
if kept[1] ~= ARGV[1] then
  return {'gone'}
end
local channels, notification = ARGV[8], ARGV[9]
local state = standing(KEYS[1], kept[4], tonumber(kept[5]), tonumber(kept[6] or ''), kept[7],
  tonumber(ARGV[7]), channels, notification)
if ARGV[3] == '1' and (state == 'running' or state == 'suspected') then
  if redis.call('ZADD', KEYS[3], now, ARGV[2]) == 1 then
    redis.call('PUBLISH', channels .. kept[7], notification)
  end
  redis.call('PEXPIRE', KEYS[3], redis.call('PTTL', KEYS[1]))
end
local most, room = tonumber(ARGV[5]), tonumber(ARGV[6])
local more, mark, batches = 0, ARGV[4], {}
for index, entry in ipairs(redis.call('XRANGE', KEYS[2], '(' .. ARGV[4], '+', 'COUNT', most + 1)) do
  local events = entry[2][2]
  if index > most or (index > 1 and #events > room) then
    more = 1
    break
  end
  room, mark = room - #events, entry[1]
  table.insert(batches, events)
end
local answer = {'read', state, kept[1], kept[2], kept[3], kept[8], kept[9] or '', kept[10], more, mark}
for _, events in ipairs(batches) do
  table.insert(answer, events)
end
return answer
