-- needs: removal save
-- prune: remove final tasks whose retention is over, the longest over first.
-- ARGV[3] msgpack: {limit}. Answers how many.

go_on_when_full()
local limit = cmsgpack.unpack(ARGV[3])[1]
local over = limit > 0 and redis.call('ZRANGEBYSCORE', KEY.prune, '-inf', whole(LEDGER.now),
  'LIMIT', 0, limit) or {}
for _, id in ipairs(over) do
  STATES.remove(load(id))
end
save_index()
save()
return #over
