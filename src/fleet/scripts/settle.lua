-- What an idempotency key stood for has ended: it holds for the retention time,
-- or no longer, where it failed. Whoever does not own it changes nothing.
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
