# switchyard_library(NAME SOURCES ... LIBS ...): one static library a folder.
function(switchyard_library name)
  cmake_parse_arguments(A "" "" "SOURCES;LIBS" ${ARGN})
  add_library(switchyard_${name} STATIC ${A_SOURCES})
  target_link_libraries(switchyard_${name} PUBLIC switchyard_flags ${A_LIBS})
endfunction()

# switchyard_executable(NAME SOURCES ... LIBS ...): build/bin/NAME.
function(switchyard_executable name)
  cmake_parse_arguments(A "" "" "SOURCES;LIBS" ${ARGN})
  add_executable(${name} ${A_SOURCES})
  target_link_libraries(${name} PRIVATE switchyard_flags ${A_LIBS})
endfunction()

# switchyard_test(NAME SOURCES ... LIBS ... [LABELS ...] [PREFIX ...]): a GoogleTest binary whose tests ctest sees one by one, under their names with the
# prefix before them.
function(switchyard_test name)
  cmake_parse_arguments(A "" "PREFIX" "SOURCES;LIBS;LABELS" ${ARGN})
  add_executable(${name} ${A_SOURCES})
  target_link_libraries(${name} PRIVATE switchyard_flags ${A_LIBS} GTest::gtest GTest::gtest_main)
  target_compile_definitions(${name} PRIVATE SWITCHYARD_TEST_DATA="${CMAKE_SOURCE_DIR}/tests/data"
                                             SWITCHYARD_BUILD_BIN="${CMAKE_BINARY_DIR}/bin")
  include(GoogleTest)
  set(labels)
  if(A_LABELS)
    set(labels LABELS "${A_LABELS}")
  endif()
  gtest_discover_tests(${name} TEST_PREFIX "${A_PREFIX}" DISCOVERY_MODE PRE_TEST PROPERTIES TIMEOUT 300 ${labels})
endfunction()
