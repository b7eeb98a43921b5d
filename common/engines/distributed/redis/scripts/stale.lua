-- Lists reservations of one bucket that are older than a moment, oldest first.
-- KEYS: stock, reserved, ages   ARGV: before (us), at most
-- Replies {buckets, order, "quantity reserved_at", order, …}.
local reply = {redis.call('HGET', KEYS[1], 'buckets') or '1'}
local orders = redis.call('ZRANGEBYSCORE', KEYS[3], '-inf', '(' .. ARGV[1], 'LIMIT', 0, ARGV[2])
for _, order in ipairs(orders) do
  local held = redis.call('HGET', KEYS[2], order)
  if held then
    reply[#reply + 1] = order
    reply[#reply + 1] = held
  end
end
return reply
