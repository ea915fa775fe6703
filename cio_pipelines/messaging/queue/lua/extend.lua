-- ARGV: lease seconds, queue; of each message: id, lease. Returns how many leases were no longer held.
local till = exact(now + tonumber(ARGV[1]))
local ids, leases, stale = {}, {}, 0
for at = 3, #ARGV, 2 do ids[#ids + 1] = ARGV[at] end
for n, state in ipairs(fetch(STATES, ids)) do
  local holder = parts(state)
  if holder ~= '' and holder == ARGV[2 * n + 2] then
    push(leases, till, ids[n])
  else
    stale = stale + 1
  end
end
many('ZADD', P .. ':leased:' .. ARGV[2], leases)
return stale
