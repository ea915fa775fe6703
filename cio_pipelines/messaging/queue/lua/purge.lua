-- ARGV: token; ids. Returns how many were dead letters, which are forgotten now, with their keys.
local done = P .. ':done:' .. ARGV[1]
local known = redis.call('GET', done)
if known then return tonumber(known) end
local count = 0
for n = 2, #ARGV do
  local id = ARGV[n]
  local fields = redis.call('HMGET', message(id), 's', 'q', 'i')
  if fields[1] == 'dead' then
    redis.call('ZREM', P .. ':dead:' .. fields[2], id)
    redis.call('HDEL', VALUES, id)
    redis.call('UNLINK', message(id))
    if fields[3] then redis.call('UNLINK', P .. ':key:' .. fields[3]) end
    count = count + 1
  end
end
redis.call('SET', done, count, 'EX', DONE_SECONDS)
return count
