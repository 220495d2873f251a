-- A worker stops following; the leader is notified, since it may have no follower left.
--
-- KEYS: flight, followers
-- ARGV: flight, worker, channels, notification
local kept = redis.call('HMGET', KEYS[1], 'flight', 'owner')
if kept[1] ~= ARGV[1] then
  return {'gone'}
end
if redis.call('ZREM', KEYS[2], ARGV[2]) == 1 then
  redis.call('PUBLISH', ARGV[3] .. kept[2], ARGV[4])
end
return {'kept', redis.call('ZCARD', KEYS[2])}
