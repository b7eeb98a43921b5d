-- Keeps the list of products, with the most buckets each ever had.
-- KEYS: products   ARGV: product, buckets   Replies the most buckets.
local ever = math.max(tonumber(redis.call('HGET', KEYS[1], ARGV[1]) or '0'), tonumber(ARGV[2]))
redis.call('HSET', KEYS[1], ARGV[1], ever)
return ever
