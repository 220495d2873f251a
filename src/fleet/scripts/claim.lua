-- An idempotency key is used: for the first time, again, or for another request.
--
-- KEYS: claim
-- ARGV: request, berth, time to live
local kept = redis.call('HMGET', KEYS[1], 'request', 'berth')
if not kept[1] then
  redis.call('HSET', KEYS[1], 'request', ARGV[1], 'berth', ARGV[2])
  redis.call('PEXPIRE', KEYS[1], ARGV[3])
  return {'claimed'}
end
if kept[1] ~= ARGV[1] then
  return {'mismatch'}
end
return {'known', kept[2]}
