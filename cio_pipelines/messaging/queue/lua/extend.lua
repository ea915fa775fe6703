-- ARGV: lease seconds; of each message: id, lease, queue. Returns how many leases were no longer held.
local till = now + tonumber(ARGV[1])
local stale = 0
for at = 2, #ARGV, 3 do
  if redis.call('HGET', P .. ':m:' .. ARGV[at], 't') == ARGV[at + 1] then
    redis.call('ZADD', P .. ':leased:' .. ARGV[at + 2], till, ARGV[at])
  else
    stale = stale + 1
  end
end
return stale
