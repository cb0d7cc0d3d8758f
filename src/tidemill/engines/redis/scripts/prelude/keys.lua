-- Keys: the root that the caller names, and the names that follow it.

local ROOT = KEYS[1]
local KEY = {}
for name, text in pairs(NAMES) do
  KEY[name] = ROOT .. text
end

local function whole(number)
  return string.format('%.0f', number)
end
