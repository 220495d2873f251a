-- A worker comes to a berth: is there a recording, a flight to follow, or is it
-- to lead? At most one worker leads; whoever takes over has a higher epoch.
--
-- KEYS: flight, events, followers, recording
-- ARGV: worker, mailboxes, notice, lease, keep, may read (1), joins landed (1),
--       may lead (1), fresh flight, about, known flight or '', its epoch
--       should it have to begin again
local worker, mailboxes, notice = ARGV[1], ARGV[2], ARGV[3]
local lease, keep = tonumber(ARGV[4]), tonumber(ARGV[5])
local may_read, joins_landed, may_lead = ARGV[6] == '1', ARGV[7] == '1', ARGV[8] == '1'
local fresh, about, known, known_epoch = ARGV[9], ARGV[10], ARGV[11], tonumber(ARGV[12])

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

local function lead(flight, epoch)
  -- First what a full memory refuses: after any other write Redis lets it pass.
  redis.call('HSET', KEYS[1], 'flight', flight, 'owner', worker, 'epoch', epoch,
    'state', 'running', 'lease', now + lease, 'last', 0, 'part', 0, 'bytes', 0, 'about', about,
    'landing', '')
  redis.call('DEL', KEYS[2], KEYS[3])
  redis.call('PEXPIRE', KEYS[1], keep)
  return {'lead', flight, epoch}
end

local function follow(flight, epoch, owner)
  redis.call('ZADD', KEYS[3], now, worker)
  redis.call('PEXPIRE', KEYS[3], keep)
  redis.call('PUBLISH', mailboxes .. owner, notice)
  return {'follow', flight, epoch}
end

if may_read then
  local recording = redis.call('GET', KEYS[4])
  if recording then
    return {'recorded', recording}
  end
end

local kept = redis.call('HMGET', KEYS[1], 'flight', 'owner', 'epoch', 'state', 'lease')
local flight, owner, epoch, state = kept[1], kept[2], tonumber(kept[3]), kept[4]
if not flight then
  if not may_lead then
    return {'nothing'}
  end
  if known ~= '' then
    -- The memory was lost: beyond all that the flight has told.
    return lead(known, known_epoch)
  end
  return lead(fresh, 1)
end
if state == 'running' and tonumber(kept[5]) > now then
  return follow(flight, epoch, owner)
end
if state == 'running' or state == 'released' then
  if may_lead then
    local followers = redis.call('ZRANGE', KEYS[3], 0, -1)
    local led = lead(flight, epoch + 1)
    -- They need not wait until they look again.
    for _, follower in ipairs(followers) do
      redis.call('PUBLISH', mailboxes .. follower, notice)
    end
    return led
  end
  return {'nothing'}
end
if known == flight or (joins_landed and state == 'landed') then
  return follow(flight, epoch, owner)
end
if may_lead then
  return lead(fresh, 1)
end
return {'nothing'}
