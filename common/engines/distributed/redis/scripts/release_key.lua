-- Gives an unanswered key back, if the order owns it.   KEYS: key   ARGV: order
local found = redis.call('HMGET', KEYS[1], 'order', 'answer')
if found[1] == ARGV[1] and not found[2] then redis.call('DEL', KEYS[1]) end
return 1
