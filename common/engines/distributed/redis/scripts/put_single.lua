-- Creates a product of one bucket, or changes its total stock.
-- KEYS: stock   ARGV: stock
-- Replies {"put", available, reserved, confirmed}; {"refused"}: it is below what
-- is used; {"many"}: the product has or had several buckets.
local now = redis.call('HMGET', KEYS[1], 'reserved', 'confirmed', 'ever')
if now[3] and now[3] ~= '1' then return {'many'} end
local reserved, confirmed = now[1] or '0', now[2] or '0'
local available = tonumber(ARGV[1]) - tonumber(reserved) - tonumber(confirmed)
if available < 0 then return {'refused'} end
available = string.format('%.0f', available)
redis.call('HSET', KEYS[1], 'available', available, 'reserved', reserved, 'confirmed', confirmed,
           'buckets', '1', 'ever', '1')
return {'put', available, reserved, confirmed}
