-- Acquires or renews a lease. Tokens begin at Redis' clock, so that they still
-- grow after its data was lost.
-- KEYS: lease   ARGV: owner, ttl (us)   Replies the token; nil: somebody else has it.
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000000 + tonumber(time[2])
local held = redis.call('HMGET', KEYS[1], 'owner', 'token', 'until')
local token = string.format('%.0f', now)
if held[1] then
  local is_held = tonumber(held[3]) > now
  if is_held and held[1] ~= ARGV[1] then return false end
  token = is_held and held[2] or string.format('%.0f', tonumber(held[2]) + 1)
end
redis.call('HSET', KEYS[1], 'owner', ARGV[1], 'token', token,
           'until', string.format('%.0f', now + tonumber(ARGV[2])))
return token
