-- ARGV: queue, least time, most time, '1' for the newest first, offset, number to look at, reason or '',
-- line or ''. Returns {number looked at, {id, died at, …}} of those that are meant.
local key, reason, line = P .. ':dead:' .. ARGV[1], ARGV[7], ARGV[8]
local found
if ARGV[4] == '1' then
  found = redis.call('ZREVRANGEBYSCORE', key, ARGV[3], ARGV[2], 'WITHSCORES', 'LIMIT', ARGV[5], ARGV[6])
else
  found = redis.call('ZRANGEBYSCORE', key, ARGV[2], ARGV[3], 'WITHSCORES', 'LIMIT', ARGV[5], ARGV[6])
end
local meant = {}
for n = 1, #found, 2 do
  local fields = redis.call('HMGET', message(found[n]), 'r', 'l')
  if (reason == '' or fields[1] == reason) and (line == '' or fields[2] == line) then
    push(meant, found[n], found[n + 1])
  end
end
return {#found / 2, meant}
