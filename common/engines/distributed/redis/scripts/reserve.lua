-- Reserves from one bucket of a product; also says what the caller must do
-- instead. Idempotent per order: its reservation is found again and made young.
-- KEYS: stock, reserved, ages, spilled   ARGV: order, quantity, now (us), buckets
-- as the caller believes, "home" or "guest"
-- Replies {"reserved", buckets, quantity, reserved_at}, {"sold_out"}, {"unknown"},
-- {"buckets", n}: there are n by now, {"spilled", b}: look in bucket b.
local stock = redis.call('HMGET', KEYS[1], 'available', 'reserved', 'buckets')
if not stock[1] then return {'unknown'} end
local held = redis.call('HGET', KEYS[2], ARGV[1])
if held then
  local quantity, at = string.match(held, '^(%d+) (%d+)$')
  if tonumber(ARGV[3]) > tonumber(at) then
    at = ARGV[3]
    redis.call('HSET', KEYS[2], ARGV[1], quantity .. ' ' .. at)
    redis.call('ZADD', KEYS[3], at, ARGV[1])
  end
  return {'reserved', stock[3], quantity, at}
end
if stock[3] ~= ARGV[4] then return {'buckets', stock[3]} end
if ARGV[5] == 'home' and stock[3] ~= '1' then
  local other = redis.call('HGET', KEYS[4], ARGV[1])
  if other then return {'spilled', other} end
end
local quantity = tonumber(ARGV[2])
local available = tonumber(stock[1])
if available < quantity then return {'sold_out'} end
redis.call('HSET', KEYS[1], 'available', string.format('%.0f', available - quantity),
           'reserved', string.format('%.0f', tonumber(stock[2]) + quantity))
redis.call('HSET', KEYS[2], ARGV[1], ARGV[2] .. ' ' .. ARGV[3])
redis.call('ZADD', KEYS[3], ARGV[3], ARGV[1])
return {'reserved', stock[3], ARGV[2], ARGV[3]}
