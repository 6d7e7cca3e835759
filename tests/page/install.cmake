# Installs what package-lock.json names, unless it is there: cmake -DNPM=npm -DFOLDER=folder -P install.cmake
file(SHA256 "${FOLDER}/package-lock.json" wanted)
set(stamp "${FOLDER}/node_modules/installed")
if(EXISTS "${stamp}")
  file(READ "${stamp}" installed)
endif()
if(NOT "${installed}" STREQUAL "${wanted}")
  execute_process(COMMAND "${NPM}" ci --no-audit --no-fund --ignore-scripts WORKING_DIRECTORY "${FOLDER}"
    RESULT_VARIABLE outcome)
  if(NOT outcome EQUAL 0)
    message(FATAL_ERROR "npm ci failed")
  endif()
  file(WRITE "${stamp}" "${wanted}")
endif()
