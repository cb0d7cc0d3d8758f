-- needs: records
-- present: which of some tasks are here.
-- ARGV[3] msgpack: {id, …}. Answers 2 for one that is live, 1 for one that is final, else 0, for each.

local answers = {}
for at, id in ipairs(cmsgpack.unpack(ARGV[3])) do
  local record = load(id)
  answers[at] = record and (is_final(record.live.state) and 1 or 2) or 0
end
return answers
