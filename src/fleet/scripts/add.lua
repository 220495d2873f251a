-- Adds a batch of events that come after event `after`. If events before it are missing
-- (evicted, or lost in a failover), returns the last event that Redis has.
local function add(key, events_of, keep, kept, after, last, part, voids, events)
  local kept_last, kept_part = tonumber(kept[5]), tonumber(kept[6])
  if not voids then
    if kept_last > 0 and redis.call('PTTL', events_of) == -2 then
      kept_last, kept_part = 0, 0
      redis.call('HSET', key, 'last', 0, 'part', 0)
    end
    if kept_last < after or (part > 0 and (kept_last < last or kept_part < part - 1)) then
      return kept_last
    end
  end
  -- A batch that was sent again because its answer was lost is already there.
  if events ~= '' and (last > kept_last or (last == kept_last and part > kept_part)) then
    if voids then
      redis.call('DEL', events_of)
    end
    redis.call('XADD', events_of, string.format('%d-%d', last, part), 'e', events)
    redis.call('PEXPIRE', events_of, keep)
    redis.call('HSET', key, 'last', string.format('%d', last), 'part', part)
  end
end

