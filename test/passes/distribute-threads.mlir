// RUN: fairy2-opt %s --fairy2-distribute-threads --canonicalize --cse | FileCheck %s

// CHECK-LABEL: func private @kernel
// CHECK-SAME: (%[[OUT:.*]]: memref<64xf32>, %[[N:.*]]: index, %[[THREAD:.*]]: index, %[[THREADS:.*]]: index)
func.func private @kernel(%out: memref<64xf32>, %n: index) {
  // The share of thread t is [n t / threads, n (t + 1) / threads).
  // CHECK-NOT: scf.forall
  // CHECK-DAG: %[[C1:.*]] = arith.constant 1 : index
  // CHECK: %[[P:.*]] = arith.muli %[[N]], %[[THREAD]]
  // CHECK: %[[BEGIN:.*]] = arith.divui %[[P]], %[[THREADS]]
  // CHECK: %[[NEXT:.*]] = arith.addi %[[THREAD]], %[[C1]]
  // CHECK: %[[Q:.*]] = arith.muli %[[N]], %[[NEXT]]
  // CHECK: %[[END:.*]] = arith.divui %[[Q]], %[[THREADS]]
  // CHECK: scf.for %[[I:.*]] = %[[BEGIN]] to %[[END]] step %[[C1]]
  // CHECK-NEXT: memref.store %{{.*}}, %[[OUT]][%[[I]]]
  %zero = arith.constant 0.0 : f32
  scf.forall (%i) in (%n) {
    memref.store %zero, %out[%i] : memref<64xf32>
  }
  return
}

// A step of one iteration that became straight code is one thread's.
// CHECK-LABEL: func private @one_step
// CHECK-SAME: (%[[OUT:.*]]: memref<64xf32>, %[[THREAD:.*]]: index, %{{.*}}: index)
func.func private @one_step(%out: memref<64xf32>) {
  // CHECK: %[[FIRST:.*]] = arith.cmpi eq, %[[THREAD]], %{{.*}}
  // CHECK-NEXT: scf.if %[[FIRST]] {
  // CHECK-NEXT: memref.store %{{.*}}, %[[OUT]]
  // CHECK-NEXT: }
  // CHECK-NEXT: return
  %c0 = arith.constant 0 : index
  %zero = arith.constant 0.0 : f32
  memref.store %zero, %out[%c0] : memref<64xf32>
  return
}

// Each of two branches is a step that all threads share.
// CHECK-LABEL: func private @branches
// CHECK-SAME: %[[THREAD:[a-z0-9]+]]: index, %[[THREADS:[a-z0-9]+]]: index)
func.func private @branches(%out: memref<64xf32>, %n: index, %many: i1) {
  // CHECK: scf.if
  // CHECK: arith.muli %{{.*}}, %[[THREAD]]
  // CHECK: scf.for
  // CHECK: else
  // CHECK: arith.muli %{{.*}}, %[[THREAD]]
  // CHECK: scf.for
  // CHECK-NOT: scf.forall
  // CHECK: return
  %zero = arith.constant 0.0 : f32
  %one = arith.constant 1.0 : f32
  scf.if %many {
    scf.forall (%i) in (%n) {
      memref.store %one, %out[%i] : memref<64xf32>
    }
  } else {
    scf.forall (%i) in (%n) {
      memref.store %zero, %out[%i] : memref<64xf32>
    }
  }
  return
}

// CHECK-LABEL: func @forward
// CHECK-SAME: (%{{.*}}: memref<64xf32>, %[[N:.*]]: index, %[[T:.*]]: index, %[[TS:.*]]: index, %[[BARRIER:.*]]: !llvm.ptr, %[[POOL:.*]]: !llvm.ptr)
func.func @forward(%out: memref<64xf32>, %n: index) {
  // Threads meet between steps; the end of the function is a meeting already.
  // CHECK-NEXT: call @kernel(%{{.*}}, %[[N]], %[[T]], %[[TS]])
  // CHECK-NEXT: llvm.call %[[BARRIER]](%[[POOL]])
  // CHECK-NEXT: call @kernel(%{{.*}}, %[[N]], %[[T]], %[[TS]])
  // CHECK-NEXT: return
  call @kernel(%out, %n) : (memref<64xf32>, index) -> ()
  call @kernel(%out, %n) : (memref<64xf32>, index) -> ()
  return
}
