-- The rule of common/ports/rate_bucket.hpp: the key holds the moment at which
-- the client's bucket is full again.
-- KEYS: client   ARGV: time of a token, of a burst, now (all us)
-- Replies "0" when allowed, else the nanoseconds to wait.
local now, token, capacity = tonumber(ARGV[3]), tonumber(ARGV[1]), tonumber(ARGV[2])
local full_at = tonumber(redis.call('GET', KEYS[1]) or '0')
local ahead = math.max(full_at, now) - now + token
if ahead <= capacity + 0.5 then
  -- Kept for a minute longer than needed, for callers whose clocks differ.
  redis.call('SET', KEYS[1], string.format('%.0f', now + ahead), 'PX',
             string.format('%.0f', math.ceil(ahead / 1000) + 60000))
  return '0'
end
return string.format('%.0f', (ahead - capacity) * 1000)
