-- A worker hears the events of a flight after a number, and how it stands. One
-- that follows also says that it is still there.
--
-- KEYS: flight, events, followers
-- ARGV: flight, worker, follows (1), after, most batches
local kept = redis.call('HMGET', KEYS[1], 'flight', 'epoch', 'state', 'lease', 'last', 'landing', 'about')
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
  redis.call('ZADD', KEYS[3], now, ARGV[2])
  redis.call('PEXPIRE', KEYS[3], redis.call('PTTL', KEYS[1]))
end
local answer = {'heard', state, tonumber(kept[2]), kept[5], kept[6] or '', kept[7]}
local after = string.format('%d', tonumber(ARGV[4]) + 1)
for _, entry in ipairs(redis.call('XRANGE', KEYS[2], after, '+', 'COUNT', ARGV[5])) do
  table.insert(answer, entry[2][2])
end
return answer
