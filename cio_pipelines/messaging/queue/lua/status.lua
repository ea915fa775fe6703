-- ARGV: id. Returns {} or {queue, state, attempts, enqueued at, not before, result, failures}.
local fields = redis.call('HMGET', P .. ':m:' .. ARGV[1], 'q', 's', 't', 'a', 'e', 'n', 'z', 'f')
local queue = fields[1]
if not queue then return {} end
local state = fields[2] or 'waiting'
-- when the lease has ended somebody else may take it now
if fields[3] and tonumber(redis.call('ZSCORE', P .. ':leased:' .. queue, ARGV[1])) > now then
  state = 'in_flight'
end
return {queue, state, fields[4] or '0', fields[5], fields[6] or '', fields[7] or '', fields[8] or ''}
