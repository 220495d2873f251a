-- A worker reports its total spend for a tenant on one day, and gets the fleet's. Spend
-- that it reported before is counted once.
--
-- KEYS: spent
-- ARGV: worker, tokens, nano-dollars, time to live of the day
local function count(field, own)
  local kept = redis.call('HMGET', KEYS[1], field, ARGV[1] .. ':' .. field)
  local sum, before = tonumber(kept[1] or '0'), tonumber(kept[2] or '0')
  if own > before then
    sum = sum + own - before
    redis.call('HSET', KEYS[1], field, string.format('%.0f', sum),
      ARGV[1] .. ':' .. field, string.format('%.0f', own))
    redis.call('PEXPIRE', KEYS[1], ARGV[4])
  end
  return sum
end

return {count('tokens', tonumber(ARGV[2])), count('money', tonumber(ARGV[3]))}
