-- The leader tells more of its flight, or only that it is still there. A worker
-- that no longer leads changes nothing.
--
-- KEYS: flight, events, followers
-- ARGV: flight, worker, epoch, mailboxes, notice, lease, keep, most bytes, last,
--       voids what came before (1), events or ''
local mailboxes, notice = ARGV[4], ARGV[5]
local lease, keep, most = tonumber(ARGV[6]), tonumber(ARGV[7]), tonumber(ARGV[8])
local last, voids, events = tonumber(ARGV[9]), ARGV[10] == '1', ARGV[11]

local kept = redis.call('HMGET', KEYS[1], 'flight', 'owner', 'epoch', 'state', 'last', 'bytes')
if kept[1] ~= ARGV[1] or kept[2] ~= ARGV[2] or kept[3] ~= ARGV[3] or kept[4] ~= 'running' then
  return {'deposed'}
end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

-- What was sent again, since its answer was lost, is there already.
if events ~= '' and last > tonumber(kept[5]) then
  local bytes = (voids and 0 or tonumber(kept[6])) + #events
  if bytes > most then
    return {'full'}
  end
  if voids then
    redis.call('DEL', KEYS[2])
  end
  redis.call('XADD', KEYS[2], string.format('%d-0', last), 'e', events)
  redis.call('PEXPIRE', KEYS[2], keep)
  redis.call('HSET', KEYS[1], 'last', string.format('%d', last), 'bytes', bytes)
end
redis.call('HSET', KEYS[1], 'lease', now + lease)
redis.call('PEXPIRE', KEYS[1], keep)

redis.call('ZREMRANGEBYSCORE', KEYS[3], '-inf', now - lease)
local followers = redis.call('ZRANGE', KEYS[3], 0, -1)
if events ~= '' then
  for _, follower in ipairs(followers) do
    redis.call('PUBLISH', mailboxes .. follower, notice)
  end
end
return {'kept', #followers}
