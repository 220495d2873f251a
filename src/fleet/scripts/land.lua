-- The leader ends its flight, or gives it up to whoever takes over: the last
-- events, how it ended and the recording in one step. A worker that no longer
-- leads changes nothing.
--
-- KEYS: flight, events, followers, recording
-- ARGV: flight, worker, epoch, mailboxes, notice, retention, last, part,
--       voids what came before (1), events or '', state, landing,
--       recording or '', its time to live
local mailboxes, notice, retention = ARGV[4], ARGV[5], tonumber(ARGV[6])
local last, part, voids, events = tonumber(ARGV[7]), tonumber(ARGV[8]), ARGV[9] == '1', ARGV[10]
local state, landing, recording = ARGV[11], ARGV[12], ARGV[13]

local kept = redis.call('HMGET', KEYS[1], 'flight', 'owner', 'epoch', 'state', 'last', 'part')
if kept[1] ~= ARGV[1] or kept[2] ~= ARGV[2] or kept[3] ~= ARGV[3] or kept[4] ~= 'running' then
  return {'deposed'}
end
local kept_last, kept_part = tonumber(kept[5]), tonumber(kept[6])
if events ~= '' and (last > kept_last or (last == kept_last and part > kept_part)) then
  if voids then
    redis.call('DEL', KEYS[2])
  end
  redis.call('XADD', KEYS[2], string.format('%d-%d', last, part), 'e', events)
  redis.call('HSET', KEYS[1], 'last', string.format('%d', last), 'part', part)
end
redis.call('HSET', KEYS[1], 'state', state, 'landing', landing)
if recording ~= '' then
  redis.call('SET', KEYS[4], recording, 'PX', tonumber(ARGV[14]))
end
local followers = redis.call('ZRANGE', KEYS[3], 0, -1)
for _, key in ipairs({KEYS[1], KEYS[2], KEYS[3]}) do
  redis.call('PEXPIRE', key, retention)
end
for _, follower in ipairs(followers) do
  redis.call('PUBLISH', mailboxes .. follower, notice)
end
return {'kept', #followers}
