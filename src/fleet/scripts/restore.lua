-- A leader restores a flight that Redis has lost, or has in the state of an earlier
-- epoch. It then sends all events again from the first.
--
-- KEYS: flight, events
-- ARGV: flight, epoch, run, worker, lease, keep, about
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

local kept = redis.call('HMGET', KEYS[1], 'flight', 'epoch', 'run', 'state')
local ranked = rank(kept, ARGV[1], tonumber(ARGV[2]), ARGV[3])
if ranked ~= 'forgotten' then
  return {ranked == 'leads' and kept[4] == 'running' and 'restored' or 'deposed'}
end
redis.call('HSET', KEYS[1], 'flight', ARGV[1], 'owner', ARGV[4], 'epoch', ARGV[2], 'run', ARGV[3],
  'state', 'running', 'lease', now + tonumber(ARGV[5]), 'suspected', '', 'last', 0, 'part', 0,
  'about', ARGV[7], 'outcome', '')
redis.call('DEL', KEYS[2])
redis.call('PEXPIRE', KEYS[1], ARGV[6])
return {'restored'}
