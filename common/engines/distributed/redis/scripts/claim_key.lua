-- Claims an idempotency key. The lease is counted by the caller's clock, the
-- life of the key by Redis.
-- KEYS: key   ARGV: fingerprint, order, now (us), lease (us), keep (ms)
-- Replies {state, order, answer}.
local found = redis.call('HMGET', KEYS[1], 'fingerprint', 'order', 'lease_until', 'answer')
local state, order = 'fresh', ARGV[2]
if found[1] then
  if found[1] ~= ARGV[1] then return {'mismatch', found[2], ''} end
  if found[4] then return {'answered', found[2], found[4]} end
  if found[2] ~= ARGV[2] then
    if tonumber(found[3]) > tonumber(ARGV[3]) then return {'pending', found[2], ''} end
    state, order = 'taken_over', found[2]
  end
end
redis.call('HSET', KEYS[1], 'fingerprint', ARGV[1], 'order', order,
           'lease_until', string.format('%.0f', tonumber(ARGV[3]) + tonumber(ARGV[4])))
redis.call('PEXPIRE', KEYS[1], ARGV[5])
return {state, order, ''}
