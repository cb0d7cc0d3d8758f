-- needs: records
-- read: records of tasks by id.
-- ARGV[3] msgpack: {details, {id, …}}. Answers the rows of those that are there.

local request = cmsgpack.unpack(ARGV[3])
local rows = {}
for _, id in ipairs(request[2]) do
  rows[#rows + 1] = row_of(id, request[1])
end
return rows
