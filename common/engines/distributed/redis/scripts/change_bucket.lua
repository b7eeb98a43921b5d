-- Adds available stock to a bucket, or takes up to so much from it, and says how
-- many buckets the product has. Replies the change it made.
-- KEYS: stock   ARGV: change, buckets, buckets it ever had
local available = tonumber(redis.call('HGET', KEYS[1], 'available') or '0')
local change = math.max(tonumber(ARGV[1]), -available)
redis.call('HSETNX', KEYS[1], 'reserved', '0')
redis.call('HSETNX', KEYS[1], 'confirmed', '0')
redis.call('HSET', KEYS[1], 'available', string.format('%.0f', available + change),
           'buckets', ARGV[2], 'ever', ARGV[3])
return change
