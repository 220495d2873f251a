-- A worker acquires a flight key: it reads a recording, follows a flight, or leads one.
-- At most one worker leads; a takeover gets a higher epoch.
--
-- KEYS: flight, events, followers, recording
-- ARGV: worker, channels, notification, lease, keep, grace, may read (1), joins
--       completed (1), may lead (1), new flight, new run, about, known flight or '',
--       its epoch, its run, epochs to advance by on a takeover
local worker, channels, notification = ARGV[1], ARGV[2], ARGV[3]
local lease, keep, grace = tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6])
local may_read, joins_completed, may_lead = ARGV[7] == '1', ARGV[8] == '1', ARGV[9] == '1'
local fresh, fresh_run, about = ARGV[10], ARGV[11], ARGV[12]
local known, known_epoch, known_run, skip = ARGV[13], tonumber(ARGV[14]), ARGV[15], tonumber(ARGV[16])

local function lead(flight, epoch)
  -- The write that a full memory refuses goes first: after any other, Redis allows it.
  redis.call('HSET', KEYS[1], 'flight', flight, 'owner', worker, 'epoch', epoch, 'run', fresh_run,
    'state', 'running', 'lease', now + lease, 'suspected', '', 'last', 0, 'part', 0,
    'about', about, 'outcome', '')
  redis.call('DEL', KEYS[2], KEYS[3])
  redis.call('PEXPIRE', KEYS[1], keep)
  return {'lead', flight, epoch}
end

local function follow(flight, epoch, run, owner)
  redis.call('ZADD', KEYS[3], now, worker)
  redis.call('PEXPIRE', KEYS[3], keep)
  redis.call('PUBLISH', channels .. owner, notification)
  return {'follow', flight, epoch, run}
end

if may_read then
  local recording = redis.call('GET', KEYS[4])
  if recording then
    return {'recorded', recording}
  end
end

local kept = redis.call('HMGET', KEYS[1], 'flight', 'owner', 'epoch', 'run', 'state', 'lease', 'suspected')
local flight, owner, epoch, run = kept[1], kept[2], tonumber(kept[3]), kept[4]
if not flight then
  if known == '' then
    return may_lead and lead(fresh, 1) or {'nothing'}
  end
  -- Redis lost the flight. Its leader may be alive: the flight key is reserved for it.
  redis.call('HSET', KEYS[1], 'flight', known, 'owner', '', 'epoch', known_epoch, 'run', known_run,
    'state', 'vacant', 'lease', 0, 'suspected', now, 'last', 0, 'part', 0, 'about', about,
    'outcome', '')
  redis.call('PEXPIRE', KEYS[1], keep)
  return follow(known, known_epoch, known_run, '')
end
local vacant = kept[5] == 'vacant'
local later = known == flight and known_epoch > epoch
if vacant and later then
  epoch, run = known_epoch, known_run
  redis.call('HSET', KEYS[1], 'epoch', epoch, 'run', run)
end
local state = standing(KEYS[1], kept[5], tonumber(kept[6]), tonumber(kept[7] or ''), owner, grace,
  channels, notification)
if state == 'running' or state == 'suspected' then
  return follow(flight, epoch, run, owner)
end
if state == 'lost' or state == 'released' then
  if not may_lead then
    return {'nothing'}
  end
  local followers = redis.call('ZRANGE', KEYS[3], 0, -1)
  -- Above all earlier epochs, by a random step: a server that lost its memory may grant
  -- another worker this flight, but hardly the same epoch.
  local led = lead(flight, (later and known_epoch or epoch) + skip)
  -- Spares the followers the wait for their next check.
  for _, follower in ipairs(followers) do
    redis.call('PUBLISH', channels .. follower, notification)
  end
  return led
end
if known == flight or (joins_completed and state == 'completed') then
  return follow(flight, epoch, run, owner)
end
if may_lead then
  return lead(fresh, 1)
end
return {'nothing'}
