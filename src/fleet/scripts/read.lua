-- A worker hears the events of a flight after a mark, and how it stands. One
-- that follows also says that it is still there; the leader is told when one is
-- new.
--
-- KEYS: flight, events, followers
-- ARGV: flight, worker, follows (1), after which mark, most batches, about how
--       many bytes of them, mailboxes, notice
local kept = redis.call('HMGET', KEYS[1], 'flight', 'epoch', 'state', 'lease', 'last', 'landing', 'about', 'owner')
if kept[1] ~= ARGV[1] then
  return {'gone'}
end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local state = kept[3]
if state == 'running' and tonumber(kept[4]) <= now then
  state = 'lost'
end
if ARGV[3] == '1' and state == 'running' then
  if redis.call('ZADD', KEYS[3], now, ARGV[2]) == 1 then
    redis.call('PUBLISH', ARGV[7] .. kept[8], ARGV[8])
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
local answer = {'heard', state, tonumber(kept[2]), kept[5], kept[6] or '', kept[7], more, mark}
for _, events in ipairs(batches) do
  table.insert(answer, events)
end
return answer
