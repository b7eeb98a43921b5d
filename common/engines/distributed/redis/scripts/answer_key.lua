-- Keeps the first answer to a claimed key.   KEYS: key   ARGV: answer, keep (ms)
if redis.call('EXISTS', KEYS[1]) == 1 and redis.call('HSETNX', KEYS[1], 'answer', ARGV[1]) == 1 then
  redis.call('PEXPIRE', KEYS[1], ARGV[2])
end
return 1
