-- Claims an idempotency key: new, known for the same request, or a mismatch. Only the
-- owner settles it later; a takeover replaces a lost owner.
--
-- KEYS: claim
-- ARGV: request, flight key, owner, takes over (1), time to live
local kept = redis.call('HMGET', KEYS[1], 'request', 'flight_key')
if kept[1] and kept[1] ~= ARGV[1] then
  return {'mismatch'}
end
if kept[1] and ARGV[4] ~= '1' then
  return {'known', kept[2]}
end
redis.call('HSET', KEYS[1], 'request', ARGV[1], 'flight_key', ARGV[2], 'owner', ARGV[3])
redis.call('PEXPIRE', KEYS[1], ARGV[5])
return {'claimed'}
