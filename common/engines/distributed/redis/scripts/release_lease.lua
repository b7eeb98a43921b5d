-- Ends a lease, if it is still the owner's.   KEYS: lease   ARGV: owner, token
local held = redis.call('HMGET', KEYS[1], 'owner', 'token')
if held[1] == ARGV[1] and held[2] == ARGV[2] then redis.call('HSET', KEYS[1], 'until', '0') end
return 1
