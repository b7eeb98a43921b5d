-- Sets a bucket to the ledger's figures and forgets its reservations.
-- KEYS: stock, reserved, ages, spilled   ARGV: available, confirmed, buckets, ever
redis.call('DEL', KEYS[2], KEYS[3], KEYS[4])
redis.call('HSET', KEYS[1], 'available', ARGV[1], 'reserved', '0', 'confirmed', ARGV[2],
           'buckets', ARGV[3], 'ever', ARGV[4])
return 1
