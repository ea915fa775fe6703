-- ARGV: queue. Returns 1 when a take now would probably find something.
local keys = {P .. ':ready:' .. ARGV[1], P .. ':leased:' .. ARGV[1]}
for _, queue in ipairs(QUEUES) do keys[#keys + 1] = P .. ':due:' .. queue end
for _, key in ipairs(keys) do
  if #redis.call('ZRANGEBYSCORE', key, '-inf', now_text, 'LIMIT', 0, 1) > 0 then return 1 end
end
return 0
