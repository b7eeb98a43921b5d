-- Writes down, in an order's home bucket, to which bucket it goes instead, so
-- that a retry goes there too. Changes it only from what the caller saw ("" for
-- none); a new bucket of "" forgets it. Replies what is written now.
-- KEYS: spilled   ARGV: order, bucket seen, new bucket
local present = redis.call('HGET', KEYS[1], ARGV[1]) or ''
if present ~= ARGV[2] then return present end
if ARGV[3] == '' then
  redis.call('HDEL', KEYS[1], ARGV[1])
else
  redis.call('HSET', KEYS[1], ARGV[1], ARGV[3])
end
return ARGV[3]
