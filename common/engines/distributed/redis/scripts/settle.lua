-- Ends reservations of one bucket; unknown ones are skipped. Replies how many
-- it ended.
-- KEYS: stock, reserved, ages   ARGV: pairs of "confirmed" or "returned", order
local confirmed, returned, changed = 0, 0, 0
for i = 1, #ARGV, 2 do
  local order = ARGV[i + 1]
  local held = redis.call('HGET', KEYS[2], order)
  if held then
    local quantity = tonumber(string.match(held, '^(%d+) '))
    redis.call('HDEL', KEYS[2], order)
    redis.call('ZREM', KEYS[3], order)
    changed = changed + 1
    if ARGV[i] == 'confirmed' then confirmed = confirmed + quantity else returned = returned + quantity end
  end
end
if changed > 0 then
  redis.call('HINCRBY', KEYS[1], 'reserved', string.format('%.0f', -confirmed - returned))
  if confirmed > 0 then redis.call('HINCRBY', KEYS[1], 'confirmed', string.format('%.0f', confirmed)) end
  if returned > 0 then redis.call('HINCRBY', KEYS[1], 'available', string.format('%.0f', returned)) end
end
return changed
