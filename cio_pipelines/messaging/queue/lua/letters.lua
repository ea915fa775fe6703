-- ARGV: ids. Returns of each that is a dead letter: id, value, died at, failures.
local answer = {}
for _, id in ipairs(ARGV) do
  local fields = redis.call('HMGET', message(id), 's', 'd', 'f')
  if fields[1] == 'dead' then push(answer, id, redis.call('HGET', VALUES, id), fields[2], fields[3]) end
end
return answer
