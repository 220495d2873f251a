-- The leader ends its flight, or releases it for a takeover: the last events, the outcome
-- and the recording in one step. A worker that no longer leads changes nothing; a
-- repeated step gets the same answer.
--
-- KEYS: flight, events, followers, recording
-- ARGV: flight, epoch, run, channels, notification, retention, after, last, part,
--       voids earlier events (1), events or '', state, outcome,
--       recording or '', its time to live
local channels, notification, retention = ARGV[4], ARGV[5], tonumber(ARGV[6])
local state, outcome, recording = ARGV[12], ARGV[13], ARGV[14]

local kept = redis.call('HMGET', KEYS[1], 'flight', 'epoch', 'run', 'state', 'last', 'part')
local ranked = rank(kept, ARGV[1], tonumber(ARGV[2]), ARGV[3])
if ranked ~= 'leads' then
  return {ranked}
end
local followers = redis.call('ZRANGE', KEYS[3], 0, -1)
if kept[4] == state then
  return {'kept', #followers}
end
if kept[4] ~= 'running' then
  return {'deposed'}
end
if state ~= 'released' then
  local reached = add(KEYS[1], KEYS[2], retention, kept, tonumber(ARGV[7]), tonumber(ARGV[8]),
    tonumber(ARGV[9]), ARGV[10] == '1', ARGV[11])
  if reached then
    return {'behind', string.format('%d', reached)}
  end
end
redis.call('HSET', KEYS[1], 'state', state, 'outcome', outcome)
if recording ~= '' then
  redis.call('SET', KEYS[4], recording, 'PX', tonumber(ARGV[15]))
end
for _, key in ipairs({KEYS[1], KEYS[2], KEYS[3]}) do
  redis.call('PEXPIRE', key, retention)
end
for _, follower in ipairs(followers) do
  redis.call('PUBLISH', channels .. follower, notification)
end
return {'kept', #followers}
