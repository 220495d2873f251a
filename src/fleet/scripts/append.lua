-- Leaders tell more of their flights, or only that they are still there: one
-- flight or several, each for itself. A worker that no longer leads changes
-- nothing.
--
-- KEYS, for each: flight, events, followers
-- ARGV, for each: flight, worker, epoch, mailboxes, notice, lease, keep, most
--       bytes, last, part, voids what came before (1), events or ''
local GIVEN, CARRIED = 12, 65536

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

local function tell(flight, events_of, followers_of, given)
  local mailboxes, notice = ARGV[given + 4], ARGV[given + 5]
  local lease, keep, most =
    tonumber(ARGV[given + 6]), tonumber(ARGV[given + 7]), tonumber(ARGV[given + 8])
  local last, part, voids, events =
    tonumber(ARGV[given + 9]), tonumber(ARGV[given + 10]), ARGV[given + 11] == '1', ARGV[given + 12]

  local kept = redis.call('HMGET', flight, 'flight', 'owner', 'epoch', 'state', 'last', 'part', 'bytes')
  if kept[1] ~= ARGV[given + 1] or kept[2] ~= ARGV[given + 2] or kept[3] ~= ARGV[given + 3]
      or kept[4] ~= 'running' then
    return {'deposed'}
  end
  local kept_last, kept_part = tonumber(kept[5]), tonumber(kept[6])

  -- What was sent again, since its answer was lost, is there already.
  if events ~= '' and (last > kept_last or (last == kept_last and part > kept_part)) then
    local bytes = (voids and 0 or tonumber(kept[7])) + #events
    if bytes > most then
      return {'full'}
    end
    if voids then
      redis.call('DEL', events_of)
    end
    redis.call('XADD', events_of, string.format('%d-%d', last, part), 'e', events)
    redis.call('PEXPIRE', events_of, keep)
    redis.call('HSET', flight, 'last', string.format('%d', last), 'part', part, 'bytes', bytes,
      'lease', now + lease)
  else
    redis.call('HSET', flight, 'lease', now + lease)
  end
  redis.call('PEXPIRE', flight, keep)

  redis.call('ZREMRANGEBYSCORE', followers_of, '-inf', now - lease)
  local followers = redis.call('ZRANGE', followers_of, 0, -1)
  if events ~= '' then
    -- Few bytes come with the notice, so that nobody has to ask for them.
    local told = #events <= CARRIED and notice .. events or notice
    for _, follower in ipairs(followers) do
      redis.call('PUBLISH', mailboxes .. follower, told)
    end
  end
  return {'kept', #followers}
end

local answers = {}
for index = 0, #KEYS / 3 - 1 do
  local key = 3 * index
  answers[index + 1] = tell(KEYS[key + 1], KEYS[key + 2], KEYS[key + 3], GIVEN * index)
end
-- One alone is answered as any other step.
if #answers == 1 then
  return answers[1]
end
return answers
