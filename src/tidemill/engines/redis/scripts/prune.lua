-- needs: removal save
-- prune: remove final tasks whose retention is over, the longest over first, and tallies that are
-- older than their resolution is kept, so many stretches at once.
-- ARGV[3] msgpack: {limit}. Answers how many tasks.

local STRETCHES_AT_ONCE = 200
local KEPT_FOR = {minute = 48 * 3600000000, hour = 90 * 86400000000}

go_on_when_full()
local limit = cmsgpack.unpack(ARGV[3])[1]
local over = limit > 0 and redis.call('ZRANGEBYSCORE', KEY.prune, '-inf', whole(LEDGER.now),
  'LIMIT', 0, limit) or {}
for _, id in ipairs(over) do
  STATES.remove(load(id))
end
add_up()
for resolution, kept in pairs(KEPT_FOR) do
  local stretches = KEY.stretches .. resolution
  local old = redis.call('ZRANGEBYSCORE', stretches, '-inf', '(' .. whole(LEDGER.now - kept),
    'LIMIT', 0, STRETCHES_AT_ONCE)
  for _, begun in ipairs(old) do
    redis.call('UNLINK', KEY.tallies .. resolution .. '/' .. begun)
  end
  in_parts(old, 'ZREM', stretches)
  in_parts(old, 'HDEL', KEY.totals .. resolution)
end
save_index()
save()
return #over
