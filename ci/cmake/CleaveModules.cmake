# One static library a module, from ci/layers.txt: the file says what each may include, and so what it links.

# Compiler settings that all of our code is built with, and the sanitizers.
file(RELATIVE_PATH root_from_build ${PROJECT_BINARY_DIR}/ ${PROJECT_SOURCE_DIR}/) # as ccache may name the root
add_library(clv_settings INTERFACE)
target_include_directories(clv_settings INTERFACE ${PROJECT_SOURCE_DIR})
target_compile_definitions(clv_settings INTERFACE
  _GNU_SOURCE CL_TARGET_OPENCL_VERSION=120 CLEAVE_VERSION="${PROJECT_VERSION}"
  $<$<BOOL:${CLEAVE_VERIFY}>:CLEAVE_VERIFY=1>)
target_compile_options(clv_settings INTERFACE
  -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wpointer-arith -Wvla -Wundef
  -Wwrite-strings -Wformat=2 -Wno-missing-field-initializers -fno-common
  # a plan is the same to the byte from every compiler: no product and sum in one rounding
  -ffp-contract=off
  # trails and asserts name files from the root
  -fmacro-prefix-map=${PROJECT_SOURCE_DIR}/= $<$<BOOL:${root_from_build}>:-fmacro-prefix-map=${root_from_build}=>
  $<$<BOOL:${CLEAVE_WERROR}>:-Werror>)
target_link_libraries(clv_settings INTERFACE m)
if(CLEAVE_SANITIZE)
  target_compile_options(clv_settings INTERFACE
    -fsanitize=${CLEAVE_SANITIZE} -fno-omit-frame-pointer -fno-sanitize-recover=all -g1)
  target_link_options(clv_settings INTERFACE -fsanitize=${CLEAVE_SANITIZE})
endif()

add_executable(clv_embed ${PROJECT_SOURCE_DIR}/kernels_cl/embed.c)
target_link_libraries(clv_embed PRIVATE clv_settings)

if(CLEAVE_FUZZERS)
  if(NOT CMAKE_C_COMPILER_ID MATCHES "Clang")
    message(FATAL_ERROR "CLEAVE_FUZZERS needs clang: -DCMAKE_C_COMPILER=clang")
  endif()
  target_compile_options(clv_settings INTERFACE -fsanitize=fuzzer-no-link)
endif()

# Every .cl file as a C file that defines clv_source_NAME.
function(cleave_embed_kernels out_sources)
  file(GLOB_RECURSE kernels CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/kernels_cl/*.cl)
  file(GLOB_RECURSE headers CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/kernels_cl/*.h
    ${PROJECT_SOURCE_DIR}/kernels_cl/*.def ${PROJECT_SOURCE_DIR}/host/ir/*.def)
  set(generated)
  file(MAKE_DIRECTORY ${CMAKE_CURRENT_BINARY_DIR}/kernels) # make, unlike ninja, does not
  foreach(kernel IN LISTS kernels)
    get_filename_component(name ${kernel} NAME_WE)
    set(output ${CMAKE_CURRENT_BINARY_DIR}/kernels/${name}_cl.c)
    add_custom_command(OUTPUT ${output}
      COMMAND clv_embed ${PROJECT_SOURCE_DIR} ${kernel} ${name} ${output}
      DEPENDS clv_embed ${kernel} ${headers} COMMENT "Embedding ${name}.cl")
    list(APPEND generated ${output})
  endforeach()
  set(${out_sources} ${generated} PARENT_SCOPE)
endfunction()

# The page of timelines as a C file that defines clv_embedded_viewer.
function(cleave_embed_viewer out_source)
  set(page ${PROJECT_SOURCE_DIR}/host/report/viewer.html)
  set(output ${CMAKE_CURRENT_BINARY_DIR}/viewer_html.c)
  add_custom_command(OUTPUT ${output}
    COMMAND clv_embed ${PROJECT_SOURCE_DIR} ${page} viewer ${output}
    DEPENDS clv_embed ${page} COMMENT "Embedding viewer.html")
  set(${out_source} ${output} PARENT_SCOPE)
endfunction()

# onnx.proto by protoc-c, as a library of its own so that our warnings do not apply to it.
function(cleave_onnx_proto)
  set(folder ${CMAKE_CURRENT_BINARY_DIR}/proto)
  file(MAKE_DIRECTORY ${folder})
  add_custom_command(OUTPUT ${folder}/onnx/onnx.pb-c.c ${folder}/onnx/onnx.pb-c.h
    COMMAND ${PROTOC_C} -I${ONNX_PROTO_FOLDER} --c_out=${folder} ${ONNX_PROTO_FOLDER}/onnx/onnx.proto
    COMMENT "Generating onnx.pb-c.c")
  add_library(clv_onnx_proto_objects OBJECT ${folder}/onnx/onnx.pb-c.c ${folder}/onnx/onnx.pb-c.h)
  target_include_directories(clv_onnx_proto_objects PUBLIC ${folder})
  target_link_libraries(clv_onnx_proto_objects PUBLIC PkgConfig::ProtobufC)
endfunction()

function(cleave_module name folder internal external)
  file(GLOB sources CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/${folder}/*.c)
  if(name STREQUAL "kernels")
    file(GLOB sources CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/kernels_cl/*/*.c)
    list(APPEND sources ${PROJECT_SOURCE_DIR}/kernels_cl/kernel.c
         ${PROJECT_SOURCE_DIR}/kernels_cl/ceilings.c)
    cleave_embed_kernels(embedded)
    list(APPEND sources ${embedded})
  elseif(name STREQUAL "report")
    cleave_embed_viewer(viewer)
    list(APPEND sources ${viewer})
  endif()
  if(NOT sources)
    add_library(clv_${name} INTERFACE)
    set_property(GLOBAL APPEND PROPERTY CLV_EMPTY_MODULES ${name})
    return()
  endif()
  add_library(clv_${name}_objects OBJECT ${sources})
  target_link_libraries(clv_${name}_objects PRIVATE clv_settings)
  target_include_directories(clv_${name}_objects PRIVATE ${PROJECT_SOURCE_DIR}/host/include)
  set(objects $<TARGET_OBJECTS:clv_${name}_objects>)
  if(name STREQUAL "onnx")
    cleave_onnx_proto()
    target_link_libraries(clv_onnx_objects PRIVATE clv_onnx_proto_objects)
    list(APPEND objects $<TARGET_OBJECTS:clv_onnx_proto_objects>)
  endif()
  foreach(library IN LISTS external)
    target_link_libraries(clv_${name}_objects PRIVATE ${clv_external_${library}})
  endforeach()
  # base/json.h shows cJSON's types to whoever includes it.
  target_link_libraries(clv_${name}_objects PRIVATE PkgConfig::cJSON)
  set_property(GLOBAL APPEND PROPERTY CLV_OBJECTS ${objects})
  if(name STREQUAL "cli")
    return()
  endif()
  add_library(clv_${name} STATIC ${objects})
  target_link_libraries(clv_${name} PUBLIC m)
  foreach(module IN LISTS internal)
    target_link_libraries(clv_${name} PUBLIC clv_${module})
  endforeach()
  foreach(library IN LISTS external)
    target_link_libraries(clv_${name} PUBLIC ${clv_external_${library}})
  endforeach()
  set_property(GLOBAL APPEND PROPERTY CLV_LIBRARY_OBJECTS ${objects})
endfunction()

function(cleave_modules layers)
  set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/${layers})
  file(STRINGS ${PROJECT_SOURCE_DIR}/${layers} lines REGEX "^[a-z]")
  foreach(line IN LISTS lines)
    string(REGEX MATCH "^([^:]*):?(.*)$" _ "${line}")
    set(left ${CMAKE_MATCH_1})
    set(right ${CMAKE_MATCH_2})
    separate_arguments(left UNIX_COMMAND "${left}")
    separate_arguments(right UNIX_COMMAND "${right}")
    list(POP_FRONT left name folder)
    cleave_module(${name} ${folder} "${left}" "${right}")
  endforeach()
endfunction()

# libcleave, static and shared, of every module but the command line; and what CMake and pkg-config users need.
function(cleave_libraries)
  get_property(objects GLOBAL PROPERTY CLV_LIBRARY_OBJECTS)
  set(dependencies PkgConfig::cJSON PkgConfig::XXHash PkgConfig::ProtobufC PkgConfig::Zip PNG::PNG
    OpenCL::OpenCL Threads::Threads m)
  foreach(kind IN ITEMS static shared)
    string(TOUPPER ${kind} type)
    add_library(libcleave_${kind} ${type} ${objects})
    set_target_properties(libcleave_${kind} PROPERTIES OUTPUT_NAME cleave EXPORT_NAME ${kind})
    target_include_directories(libcleave_${kind} PUBLIC
      $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/host/include> $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
  endforeach()
  set_target_properties(libcleave_shared PROPERTIES
    VERSION ${PROJECT_VERSION} SOVERSION ${PROJECT_VERSION_MAJOR}.${PROJECT_VERSION_MINOR})
  foreach(kind IN ITEMS static shared) # users of our header see none of these; static ones still link them
    target_link_libraries(libcleave_${kind} PRIVATE ${dependencies})
  endforeach()
  if(CLEAVE_SANITIZE)
    target_link_options(libcleave_static PUBLIC -fsanitize=${CLEAVE_SANITIZE})
    target_link_options(libcleave_shared PRIVATE -fsanitize=${CLEAVE_SANITIZE})
  endif()
endfunction()
