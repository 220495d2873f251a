-- Settles an idempotency key once its flight has ended: keeps it for the retention time,
-- or frees it if the flight failed. Has no effect for anyone but the owner.
--
-- KEYS: claim
-- ARGV: owner, time to live or 0
if redis.call('HGET', KEYS[1], 'owner') ~= ARGV[1] then
  return {'gone'}
end
if ARGV[2] == '0' then
  redis.call('DEL', KEYS[1])
else
  redis.call('PEXPIRE', KEYS[1], ARGV[2])
end
return {'settled'}
