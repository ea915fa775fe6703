-- ARGV: ids. Returns of each that is a dead letter: id, queue, line and body, enqueued at, died at, failures.
local answer = {}
for _, id in ipairs(ARGV) do
  local fields = redis.call('HMGET', P .. ':m:' .. id, 's', 'q', 'e', 'd', 'f')
  if fields[1] == 'dead' then
    push(answer, id, fields[2], redis.call('GET', P .. ':v:' .. id), fields[3], fields[4], fields[5])
  end
end
return answer
