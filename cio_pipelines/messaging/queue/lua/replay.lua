-- ARGV: token; ids in the order in which they are to join their lines. Returns how many were dead letters.
local done = P .. ':done:' .. ARGV[1]
local known = redis.call('GET', done)
if known then return tonumber(known) end
local count = 0
for n = 2, #ARGV do
  local id = ARGV[n]
  local fields = redis.call('HMGET', message(id), 's', 'q', 'l')
  if fields[1] == 'dead' then
    redis.call('ZREM', P .. ':dead:' .. fields[2], id)
    redis.call('HDEL', message(id), 's', 'r', 'd', 'a')
    redis.call('HSET', STATES, id, '|0|m')
    redis.call('HINCRBY', P .. ':live', fields[2], 1)
    join(id, fields[2], fields[3], now_text)
    count = count + 1
  end
end
redis.call('SET', done, count, 'EX', DONE_SECONDS)
return count
